"""genretrain: trains the networks that genred runs.

::

    check    what there is of GTZAN, and what is wrong with it    check, gtzan, repeats
    prepare  GTZAN, audio or log-mels -> logmel/<genre>.npz       gtzan, dataset
    fit      log-mels -> MFCC crops -> network -> checkpoint      dataset, networks, loop   (numpy and torch only)
    export   checkpoint -> one ONNX file with its card            export, card
    evaluate ONNX file -> held-out accuracy, into its card        evaluate, card
             run -> held-out answers of its two readings          judge
    baseline statistics of the same MFCC -> SVM, k-NN, forest     baselines, judge   (scikit-learn)
    repeats  log-mels -> pairs with the same recording            repeats
    reproduce  all rows of the paper's comparison -> a report     rows, reproduce, report, claims, figures
"""
